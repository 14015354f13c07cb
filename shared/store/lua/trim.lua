-- trim: keeps what is over within its age and its cap; at most `limit` of each kind a call.
--
-- KEYS[1] finished  KEYS[2] finished expiry  KEYS[3] dead  KEYS[4] dead records  KEYS[5] counts
-- ARGV[1] limit  ARGV[2] most finished messages kept
-- ARGV[3] retention of dead letters, ms  ARGV[4] most dead letters kept
--
-- Returns {finished removed, dead letters past their retention, dead letters over the cap}
--
-- Frees: begins with the removal.
--@include now
--@include finish

local now, limit = now_ms(), tonumber(ARGV[1])
redis.call('HLEN', KEYS[1])
redis.call('ZCARD', KEYS[3])
redis.call('HLEN', KEYS[4])
redis.call('HLEN', KEYS[5])
local finished = trim_finished(KEYS[1], KEYS[2], now, tonumber(ARGV[2]), limit)
local aged = drop(KEYS[4], KEYS[3], redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now - tonumber(ARGV[3]), 'LIMIT', 0, limit))
local excess = math.min(redis.call('ZCARD', KEYS[3]) - tonumber(ARGV[4]), limit)
local over = excess > 0 and drop(KEYS[4], KEYS[3], redis.call('ZRANGE', KEYS[3], 0, excess - 1)) or 0
if aged + over > 0 then redis.call('HINCRBY', KEYS[5], 'dead_letters_dropped', aged + over) end
return {finished, aged, over}
