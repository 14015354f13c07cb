-- cancel: takes back a message that no worker holds yet.
--
-- KEYS[1] index  KEYS[2] due set  KEYS[3] finished  KEYS[4] finished expiry  KEYS[5] errors of the message
-- KEYS[6..] streams of its topic, by priority
-- ARGV[1] message id  ARGV[2] group  ARGV[3] retention, ms  ARGV[4] most finished messages kept
--
-- Returns {'cancelled'}           it will not be delivered; also when it was cancelled before
--         {'stale'}               record or due time are others than those seen: nothing is written
--         {'running', consumer}   a worker holds it
--         {'finished', what is kept}
--         {'absent'}              none of these (a dead one is not to be cancelled either)
--
-- Frees: begins with the removal.
--@include now
--@include scores
--@include locate
--@include lease
--@include entry
--@include finish
--@include release

local id = ARGV[1]
local now = now_ms()
redis.call('ZCARD', KEYS[4])
redis.call('LLEN', KEYS[5])
local finished = redis.call('HGET', KEYS[3], id)
local kind, a, b, c = locate(KEYS[1], KEYS[2], id)

local function is_stale(record, due)
  return ARGV[5] ~= '' and (record ~= ARGV[5] or due ~= tonumber(ARGV[6]))
end

local function finish(due, attempts)
  local text = string.format('{"status":"cancelled","due_ms":%d,"settled_ms":%d,"attempts":%d}', due, now, attempts)
  text = with_errors(text, KEYS[5])
  redis.call('HDEL', KEYS[1], id)
  redis.call('DEL', KEYS[5])
  release(id)
  redis.call('HSET', KEYS[3], id, text)
  redis.call('ZADD', KEYS[4], string.format('%d', now + tonumber(ARGV[3])), id)
  trim_finished(KEYS[3], KEYS[4], now, tonumber(ARGV[4]), 10)
  return {'cancelled'}
end

if kind == 'due' then
  if is_stale(c, math.floor(tonumber(a))) then return {'stale'} end
  redis.call('ZREM', KEYS[2], c)
  return finish(math.floor(tonumber(a)), b)
end
if kind == 'stream' then
  for number = 6, #KEYS do
    if string.match(KEYS[number], '[^:]+$') == a then
      local due, attempts, record = entry_fields(KEYS[number], b)
      local consumer = lease(KEYS[number], ARGV[2], b)
      if consumer then return {'running', consumer} end
      if due then
        if is_stale(record, due) then return {'stale'} end
        redis.call('XDEL', KEYS[number], b)
        return finish(due, attempts)
      end
    end
  end
end
if finished then
  if string.find(finished, '"status":"cancelled"', 1, true) then return {'cancelled'} end
  return {'finished', finished}
end
return {'absent'}
