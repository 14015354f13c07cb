-- replay: schedules a dead letter again, with no attempt spent.
--
-- KEYS[1] dead  KEYS[2] dead records  KEYS[3] index  KEYS[4] label index  KEYS[5..] due sets of its topic
-- ARGV[1] message id  ARGV[2] wake-up channel  ARGV[3] due time, ms; 0: now
-- ARGV[4] new record (of the same id); '' keeps it  ARGV[5] the record the caller has seen; '' where any will do
-- ARGV[6..] the lane of each due set
--
-- Returns {'replayed', score}   {'absent'} it is no dead letter   {'unreadable'} its record is missing: it stays
--         {'stale'}             the record is another than the one seen: nothing is written
--
-- Moves: begins with the removal.
--@include now
--@include scores
--@include wake
--@include lanes
--@include labels

local id = ARGV[1]
local stored = redis.call('HGET', KEYS[2], id)
if not redis.call('ZSCORE', KEYS[1], id) then return {'absent'} end
local record = string.match(stored or '', '^[^\n]*\n[^\n]*\n(.*)$')
if not record or record == '' then return {'unreadable'} end
if ARGV[5] ~= '' and record ~= ARGV[5] then return {'stale'} end
if ARGV[4] ~= '' then record = ARGV[4] end
local score = score_at(id, math.max(tonumber(ARGV[3]), now_ms()))
local due, lane = KEYS[5], lane_of(record)
for number = 6, #KEYS do
  if ARGV[number + 1] == lane then due = KEYS[number] end
end
local head = head_score(due)
redis.call('HLEN', KEYS[3])
redis.call('ZCARD', KEYS[4])

redis.call('ZREM', KEYS[1], id)
redis.call('HDEL', KEYS[2], id)
redis.call('ZADD', due, score_text(score), record)
redis.call('HSET', KEYS[3], id, 'due ' .. score_text(score) .. ' 0')
add_labels(KEYS[4], {record})
wake(ARGV[2], due, head, score)
return {'replayed', score_text(score)}
