-- schedule: stores new messages in their topics' due sets, all of them or none.
--
-- KEYS[1..]  due sets (there may be none), then, with a time to live, the idempotency record of this chunk, then, where a message
--            has labels, the label index
-- ARGV[1]    wake-up channel
-- ARGV[2]    time to live of the idempotency record, ms; 0: the request carries no key
-- ARGV[3]    idempotency record: "<digest> <seed> <accepted ms>"
-- ARGV[4..]  per due set: how many messages it gets (1 to 500), then of each its score and its record
--
-- Returns {'stored'}             all are stored
--         {'repeated', record}   an equal request was stored before: nothing is written
--         {'conflict', record}   the key belongs to a request with another digest: nothing is written
--
-- Accepts: the first write is one that Redis refuses when memory is full.
--@include wake
--@include labels

local labels = label_index()
local ttl, due_sets = tonumber(ARGV[2]), labels and #KEYS - 1 or #KEYS
local idempotency = KEYS[due_sets]
if ttl > 0 then
  local earlier = redis.call('GET', idempotency)
  if earlier then
    local same = string.match(earlier, '^%S+') == string.match(ARGV[3], '^%S+')
    return {same and 'repeated' or 'conflict', earlier}
  end
  due_sets = due_sets - 1
end

local heads = {}
for number = 1, due_sets do
  heads[number] = head_score(KEYS[number]) -- refuses a key of another type before anything is written
end
if labels then redis.call('ZCARD', labels) end

if ttl > 0 then redis.call('SET', idempotency, ARGV[3], 'PX', ttl) end
local at = 4
for number = 1, due_sets do
  local last = at + 2 * tonumber(ARGV[at])
  redis.call('ZADD', KEYS[number], unpack(ARGV, at + 1, last))
  wake(ARGV[1], KEYS[number], heads[number], head_score(KEYS[number]))
  if labels then
    local records = {}
    for i = at + 2, last, 2 do records[#records + 1] = ARGV[i] end
    add_labels(labels, records)
  end
  at = last + 1
end
return {'stored'}
