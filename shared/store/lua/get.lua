-- get: one message wherever it lies, in one look, so that a move in between does not seem an absence.
--
-- KEYS[1] index  KEYS[2] finished  KEYS[3] dead  KEYS[4] dead records  KEYS[5] errors of the message
-- KEYS[6..] due sets of its topic, and then its streams
-- ARGV[1] message id  ARGV[2] group  ARGV[3] number of due sets
--
-- Returns {'waiting', score, attempts, record, {errors}, parked}   in a due set; parked: 1 where it waits for its flow key
--         {'ready', due ms, attempts, record, {errors}, entry id}   in its stream, held by nobody
--         {'running', due ms, attempts, record, {errors}, entry id, consumer, deliveries, idle ms}
--         {'dead', died ms, dead record}   {'finished', what is kept}   {'absent'}
--@include scores
--@include locate
--@include lease
--@include entry
--@include lanes

local id = ARGV[1]
local last_due = 5 + tonumber(ARGV[3])
local kind, a, b, c, _, due_set = locate(KEYS[1], slice(KEYS, 6, last_due), id)
if kind == 'due' then
  return {'waiting', a, b, c, redis.call('LRANGE', KEYS[5], 0, -1), is_lane(due_set, 'parked') and 1 or 0}
end
if kind == 'stream' then
  for number = last_due + 1, #KEYS do
    if level_of_key(KEYS[number]) == a then
      local due, attempts, record = entry_fields(KEYS[number], b)
      if due then
        local consumer, deliveries, idle = lease(KEYS[number], ARGV[2], b)
        local errors = redis.call('LRANGE', KEYS[5], 0, -1)
        if consumer then
          return {'running', due, attempts + lost_attempts(deliveries), record, errors, b, consumer, deliveries, idle}
        end
        return {'ready', due, attempts, record, errors, b}
      end
    end
  end
end
local died = redis.call('ZSCORE', KEYS[3], id)
local letter = died and redis.call('HGET', KEYS[4], id)
if letter then return {'dead', tonumber(died), letter} end
local finished = redis.call('HGET', KEYS[2], id)
if finished then return {'finished', finished} end
return {'absent'}
