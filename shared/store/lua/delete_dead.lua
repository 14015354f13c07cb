-- delete_dead: removes a dead letter for ever.
--
-- KEYS[1] dead  KEYS[2] dead records
-- ARGV[1] message id
--
-- Returns {'deleted'}  {'absent'} it is no dead letter
--
-- Frees: begins with the removal.

redis.call('HLEN', KEYS[2])
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return {'absent'} end
redis.call('HDEL', KEYS[2], ARGV[1])
return {'deleted'}
