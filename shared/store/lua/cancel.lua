-- cancel: takes back a message that no worker holds yet.
--
-- KEYS[1] index  KEYS[2] finished  KEYS[3] finished expiry  KEYS[4] errors of the message
-- KEYS[5] places that flow keys hold  KEYS[6] when to look at flow keys  KEYS[7] label index
-- KEYS[8] places that ordered messages keep between their attempts
-- KEYS[9..] due sets of its topic, and then its streams
-- ARGV[1] message id  ARGV[2] group  ARGV[3] retention, ms  ARGV[4] most finished messages kept
-- ARGV[5] the record the caller has seen; '' where any will do  ARGV[6] the due time the caller has seen, ms
-- ARGV[7] number of due sets  ARGV[8] wake-up channel
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
--@include lanes
--@include finish
--@include flow
--@include labels

local id = ARGV[1]
local now = now_ms()
local last_due = 8 + tonumber(ARGV[7])
redis.call('ZCARD', KEYS[3])
redis.call('ZCARD', KEYS[5])
redis.call('ZCARD', KEYS[6])
redis.call('ZCARD', KEYS[7])
redis.call('ZCARD', KEYS[8])
redis.call('LLEN', KEYS[4])
local finished = redis.call('HGET', KEYS[2], id)
local kind, a, b, c, _, due_set = locate(KEYS[1], slice(KEYS, 9, last_due), id)

local function is_stale(record, due)
  return ARGV[5] ~= '' and (record ~= ARGV[5] or due ~= tonumber(ARGV[6]))
end

local function finish(due, attempts, record)
  local text = string.format('{"status":"cancelled","due_ms":%d,"settled_ms":%d,"attempts":%d}', due, now, attempts)
  text = with_errors(text, KEYS[4])
  remove_labels(KEYS[7], id, labels_of(record))
  redis.call('HDEL', KEYS[1], id)
  redis.call('DEL', KEYS[4])
  redis.call('HSET', KEYS[2], id, text)
  redis.call('ZADD', KEYS[3], string.format('%d', now + tonumber(ARGV[3])), id)
  trim_finished(KEYS[2], KEYS[3], now, tonumber(ARGV[4]), 10)
  return {'cancelled'}
end

if kind == 'due' then
  if is_stale(c, math.floor(tonumber(a))) then return {'stale'} end
  redis.call('ZREM', due_set, c)
  local key = flow_key_of(c)
  if key ~= '' then release(KEYS[8], KEYS[6], key, id, ARGV[8], now) end
  return finish(math.floor(tonumber(a)), b, c)
end
if kind == 'stream' then
  for number = last_due + 1, #KEYS do
    if level_of_key(KEYS[number]) == a then
      local due, attempts, record, _, flow = entry_fields(KEYS[number], b)
      local consumer = lease(KEYS[number], ARGV[2], b)
      if consumer then return {'running', consumer} end
      if due then
        if is_stale(record, due) then return {'stale'} end
        redis.call('XDEL', KEYS[number], b)
        if flow then release(KEYS[5], KEYS[6], flow, id, ARGV[8], now) end
        return finish(due, attempts, record)
      end
    end
  end
end
if finished then
  if string.find(finished, '"status":"cancelled"', 1, true) then return {'cancelled'} end
  return {'finished', finished}
end
return {'absent'}
