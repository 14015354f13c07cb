-- reset_rate: forgets what was let through of a flow key, so that a new period begins. Who waits in its line is looked at again.
--
-- KEYS[1] log  KEYS[2] keys with a log  KEYS[3] when to look at flow keys
-- ARGV[1] flow key  ARGV[2] wake-up channel
--
-- Returns {'reset'}
--
-- Frees: begins with the removal.
--@include now
--@include flow

local key, now = ARGV[1], now_ms()
for number = 1, 3 do redis.call('ZCARD', KEYS[number]) end

redis.call('ZREMRANGEBYLEX', KEYS[1], '[' .. key .. ' ', '(' .. key .. '!')
redis.call('ZREM', KEYS[2], key)
local look = tonumber(redis.call('ZSCORE', KEYS[3], key))
if look and look > now then look_now(KEYS[3], key, ARGV[2], now) end
return {'reset'}
