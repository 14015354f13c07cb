-- put_schedule: makes a recurring schedule, or changes one.
--
-- KEYS[1] the schedule (hash)  KEYS[2] schedules  KEYS[3] next occurrences
-- ARGV[1] schedule id  ARGV[2] wake-up channel
-- ARGV[3] the revision the caller has seen; '' where there is to be none of that id
-- ARGV[4] its new revision
-- ARGV[5] its next occurrence, ms; '' for none (paused, ended); 'keep' leaves it as it is by now
-- ARGV[6..] fields of the hash and their values
--
-- Returns {'put'}
--         {'repeated'}  it was put before with that new revision: nothing is written
--         {'exists'}  there is one already    {'absent'} there is none
--         {'stale'}   it has another revision, or has fired that occurrence meanwhile: nothing is written
--
-- Accepts: the first write is one that Redis refuses when memory is full.
--@include schedules

local id, revision, last = ARGV[1], unpack(redis.call('HMGET', KEYS[1], 'revision', 'last_occurrence'))
redis.call('ZCARD', KEYS[2])
local head = next_head(KEYS[3])
if revision == ARGV[4] then return {'repeated'} end
if ARGV[3] == '' and revision then return {'exists'} end
if ARGV[3] ~= '' and not revision then return {'absent'} end
if ARGV[3] ~= '' and revision ~= ARGV[3] then return {'stale'} end
local next_ms = ARGV[5]
if tonumber(next_ms) and last and tonumber(next_ms) <= tonumber(last) then return {'stale'} end

redis.call('HSET', KEYS[1], 'revision', ARGV[4], unpack(ARGV, 6))
redis.call('ZADD', KEYS[2], '0', id)
if next_ms ~= 'keep' then
  redis.call('HSET', KEYS[1], 'next', next_ms)
  set_next(KEYS[3], id, next_ms)
  wake_schedules(ARGV[2], head, next_ms)
end
return {'put'}
