-- put_webhook: sets one of the things that webhooks need (a URL group, the signing keys) where it still is as the caller has seen it.
--
-- KEYS[1] webhooks (hash): name to JSON; '*' to a text that is another one after every change
-- ARGV[1] name  ARGV[2] what the caller has seen; '' for nothing
-- ARGV[3] what it is to be; '' removes it  ARGV[4] the new text of '*'
--
-- Returns {'put'}  also where it is so already
--         {'stale', what it is; '' for nothing}   it has changed meanwhile: nothing is written
--
-- Accepts, where it sets: the first write is one that Redis refuses when memory is full. Removing begins with the removal.

local now = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if now == ARGV[3] then return {'put'} end
if now ~= ARGV[2] then return {'stale', now} end
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3], '*', ARGV[4])
  return {'put'}
end
redis.call('HDEL', KEYS[1], ARGV[1])
if redis.call('HLEN', KEYS[1]) > 1 then
  redis.call('HSET', KEYS[1], '*', ARGV[4])
else
  redis.call('HDEL', KEYS[1], '*')
end
return {'put'}
