-- delete_schedule: removes a recurring schedule. The messages that it made are messages like any others, and stay.
--
-- KEYS[1] the schedule (hash)  KEYS[2] schedules  KEYS[3] next occurrences  KEYS[4] its runs
-- ARGV[1] schedule id  ARGV[2] the revision the caller has seen; '' where any will do
--
-- Returns {'deleted'}  {'absent'} there is none  {'stale'} it has another revision: nothing is written
--
-- Frees: begins with the removal.

local id, revision = ARGV[1], redis.call('HGET', KEYS[1], 'revision')
redis.call('ZCARD', KEYS[2])
redis.call('ZCARD', KEYS[3])
redis.call('LLEN', KEYS[4])
if not revision then return {'absent'} end
if ARGV[2] ~= '' and revision ~= ARGV[2] then return {'stale'} end

redis.call('ZREM', KEYS[3], id)
redis.call('ZREM', KEYS[2], id)
redis.call('DEL', KEYS[1])
redis.call('DEL', KEYS[4])
return {'deleted'}
