-- tally: adds what a process has counted to the sums of ten seconds.
--
-- KEYS[1] the sums (hash)
-- ARGV[1] the process  ARGV[2] the number of its write, a higher one each time  ARGV[3] how long the sums are kept after it, ms
-- ARGV[4..] of each sum: its field, how many more
--
-- Returns 1  added
--         0  added before: this is a repeat after a lost answer
--
-- Accepts: the first write is one that Redis refuses when memory is full.

local written = ARGV[1] .. ' written'
if tonumber(redis.call('HGET', KEYS[1], written) or 0) >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], written, ARGV[2])
for at = 4, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[at], ARGV[at + 1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
