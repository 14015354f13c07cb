-- rate: counts against a limit on so many a second, if there is room for it now: the generic cell rate algorithm (ITU-T
-- I.371). One number says it all: the time at which the whole burst is free again. Each one counted moves it on by the
-- interval; there is room while it lies no more than the burst ahead.
--
-- KEYS[1] limit
-- ARGV[1] interval, ms (may be a fraction)  ARGV[2] burst
-- ARGV[3] how many to count  ARGV[4] how many of them need room now, at most the burst; the others are paid off by waiting
--
-- Returns 0           counted
--         wait (ms)   nothing is counted: this long until there is room
--
-- Accepts: the one write is one that Redis refuses when memory is full.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000
local interval = tonumber(ARGV[1])
local free = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0))
local wait = free + (tonumber(ARGV[4]) - tonumber(ARGV[2])) * interval - now
if wait > 0.001 then return math.ceil(wait) end -- a microsecond is as fine as Redis's clock, and as what is kept
free = free + tonumber(ARGV[3]) * interval
redis.call('SET', KEYS[1], string.format('%.3f', free), 'PX', math.ceil(free - now) + 1)
return 0
