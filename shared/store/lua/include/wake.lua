-- wake(channel, due, before, score): tells the dispatchers when a message became the earliest of its due set.
-- A writer that does not become the earliest publishes nothing. Nothing relies on the notification arriving.
local function head_score(due)
  return tonumber(redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2])
end

local function wake(channel, due, before, score)
  if before == nil or score < before then
    redis.call('PUBLISH', channel, string.match(due, '}:due:(.+)$') .. ' ' .. string.format('%d', math.floor(score)))
  end
end
