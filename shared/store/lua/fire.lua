-- fire: makes the messages of a recurring schedule's occurrences, and sets its next one: both or neither, and once, whoever asks.
--
-- KEYS[1] the schedule (hash)  KEYS[2] next occurrences  KEYS[3] its runs
-- KEYS[4] due set that its messages belong to  KEYS[5] index  KEYS[6..] due sets of the topic of its last message, and then, where
-- its messages have labels, the label index
-- ARGV[1] schedule id  ARGV[2] wake-up channel  ARGV[3] most runs kept
-- ARGV[4] the revision the caller has seen
-- ARGV[5] the next occurrence the caller has seen, ms; '' for a run beside the rule, which leaves the next one as it is
-- ARGV[6] the next occurrence after these, ms; '' for none: the schedule has ended
-- ARGV[7] the same where these are not made, since the last message is not over
-- ARGV[8] id of that message; '' where it does not matter
-- ARGV[9] how many before these are not made up  ARGV[10] how many before these are left out
-- ARGV[11..] of each message: occurrence, ms, message id, score, record
--
-- Returns {'fired', messages made, next due ms of the topic or -1}  also when they were made before, beside the rule
--         {'skipped'}     the last message is not over: none is made, and the next occurrence is set
--         {'early', now}  an occurrence is not due yet: nothing is written
--         {'stale'}       the schedule is not as the caller has seen it, or somebody else was faster: nothing is written
--
-- Accepts: the first write is one that Redis refuses when memory is full.
--@include now
--@include scores
--@include wake
--@include locate
--@include schedules
--@include lanes
--@include labels

local id, now = ARGV[1], now_ms()
local revision = redis.call('HGET', KEYS[1], 'revision')
local planned = redis.call('ZSCORE', KEYS[2], id)
local runs = redis.call('LRANGE', KEYS[3], 0, -1)
local due_head, next_before = head_score(KEYS[4]), next_head(KEYS[2])
redis.call('HLEN', KEYS[5])
for number = 6, #KEYS do redis.call('ZCARD', KEYS[number]) end
local labels = label_index()
local by_rule, count = ARGV[5] ~= '', (#ARGV - 10) / 4
if revision ~= ARGV[4] then return {'stale'} end
if by_rule and tonumber(planned) ~= tonumber(ARGV[5]) then return {'stale'} end
for at = 11, #ARGV, 4 do
  if tonumber(ARGV[at]) > now then return {'early', now} end
end
if not by_rule and runs[#runs] == ARGV[11] .. ' ' .. ARGV[12] then return {'fired', count, -1} end

local function plan(next_ms)
  set_next(KEYS[2], id, next_ms)
  redis.call('HSET', KEYS[1], 'next', next_ms)
  if next_ms == '' then redis.call('HSET', KEYS[1], 'status', 'ended') end
  wake_schedules(ARGV[2], next_before, next_ms)
end

local function add(field, number)
  if number > 0 then redis.call('HINCRBY', KEYS[1], field, number) end
end

if ARGV[8] ~= '' and locate(KEYS[5], slice(KEYS, 6, labels and #KEYS - 1), ARGV[8]) then
  plan(ARGV[7])
  add('skipped', count + tonumber(ARGV[10]))
  add('missed', tonumber(ARGV[9]))
  return {'skipped'}
end

local members, records = {}, {}
for at = 11, #ARGV, 4 do
  members[#members + 1] = ARGV[at + 2]
  members[#members + 1] = ARGV[at + 3]
  records[#records + 1] = ARGV[at + 3]
end
if count > 0 then redis.call('ZADD', KEYS[4], unpack(members)) end
if labels then add_labels(labels, records) end
if by_rule then plan(ARGV[6]) end
for at = 11, #ARGV, 4 do redis.call('RPUSH', KEYS[3], ARGV[at] .. ' ' .. ARGV[at + 1]) end
redis.call('LTRIM', KEYS[3], -tonumber(ARGV[3]), -1)
add('runs', by_rule and count or 0)
add('missed', tonumber(ARGV[9]))
add('skipped', tonumber(ARGV[10]))
if count == 0 then return {'fired', 0, -1} end
redis.call('HSET', KEYS[1], 'last', ARGV[#ARGV - 2], 'last_occurrence', ARGV[#ARGV - 3])
local head = head_score(KEYS[4])
wake(ARGV[2], KEYS[4], due_head, head)
return {'fired', count, math.floor(head)}
