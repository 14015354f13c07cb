-- dispatch: moves the messages of one lane (a topic's messages of one priority) that are due to its stream. Never early: a score's whole part is the exact millisecond.
--
-- KEYS[1]  due set of the lane
-- KEYS[2]  index
-- KEYS[3]  stream of the lane
-- ARGV[1]  most messages to move; fewer where their records are more than a megabyte
-- ARGV[2]  most entries the stream may hold; the rest stays safe in the due set
-- ARGV[3]  group: made together with the stream, since a full Redis would refuse it to the workers
--
-- Returns {moved, next due ms or -1, now ms, 1 where the stream is full}
--
-- Moves: begins with the removal, so a full Redis still drains.
--@include now

local MOST_BYTES = 1048576
local now = now_ms()
local room = tonumber(ARGV[2]) - redis.call('XLEN', KEYS[3])
local limit = math.min(tonumber(ARGV[1]), room)
local level = string.match(KEYS[3], '[^:]+$')
local moved = 0

-- What is due, in slices that grow while the bodies are small: a batch is bounded by bytes as well as by number.
local function due_now(most)
  local before, found, bytes, slice = '(' .. string.format('%d', now + 1), {}, 0, 4
  repeat
    local wanted = math.min(slice, most - #found / 2)
    local part = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', before, 'WITHSCORES', 'LIMIT', #found / 2, wanted)
    for i = 1, #part, 2 do
      found[#found + 1], found[#found + 2] = part[i], part[i + 1]
      bytes = bytes + #part[i]
    end
    slice = slice * 4
  until #part / 2 < wanted or #found / 2 >= most or bytes >= MOST_BYTES
  return found
end

-- The fields of a message that was dispatched before: what was spent comes back with it.
local function attempts_of(place)
  return string.match(place, '^due %S+ (%d+) ?(%S*)')
end

if limit > 0 then
  local found = due_now(limit)
  moved = #found / 2
  if moved > 0 then
    local ids = {}
    for i = 1, moved do ids[i] = string.match(found[2 * i - 1], '^%S+') or found[2 * i - 1] end
    local places = redis.call('HMGET', KEYS[2], unpack(ids))
    local absent = redis.call('EXISTS', KEYS[3]) == 0
    redis.call('ZREMRANGEBYRANK', KEYS[1], 0, moved - 1) -- what was found is the head of the set
    if absent then redis.call('XGROUP', 'CREATE', KEYS[3], ARGV[3], '0', 'MKSTREAM') end
    local index, prefix = {}, 'stream ' .. level .. ' '
    for i = 1, moved do
      local due, entry = string.format('%d', math.floor(tonumber(found[2 * i]))), nil
      local attempts, deferrals
      if places[i] then attempts, deferrals = attempts_of(places[i]) end
      if deferrals and deferrals ~= '' then
        entry = redis.call('XADD', KEYS[3], '*', 'due', due, 'attempts', attempts, 'deferrals', deferrals, 'message', found[2 * i - 1])
      else
        entry = redis.call('XADD', KEYS[3], '*', 'due', due, 'attempts', attempts or '0', 'message', found[2 * i - 1])
      end
      index[2 * i - 1], index[2 * i] = ids[i], prefix .. entry
    end
    redis.call('HSET', KEYS[2], unpack(index))
  end
end

local head = tonumber(redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2])
return {moved, head and math.floor(head) or -1, now, limit < 1 and 1 or 0}
