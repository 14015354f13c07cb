-- next_head(next): when the earliest of all schedules is to fire, ms; nil where none is.
-- set_next(next, id, ms): notes when a schedule fires next; '' for never.
-- wake_schedules(channel, before, ms): tells the dispatchers where that became the earliest of all.
local function next_head(next_key)
  return tonumber(redis.call('ZRANGE', next_key, 0, 0, 'WITHSCORES')[2])
end

local function set_next(next_key, id, ms)
  if ms == '' then
    redis.call('ZREM', next_key, id)
  else
    redis.call('ZADD', next_key, ms, id)
  end
end

local function wake_schedules(channel, before, ms)
  if ms ~= '' and (before == nil or tonumber(ms) < before) then redis.call('PUBLISH', channel, '*schedules ' .. ms) end
end
