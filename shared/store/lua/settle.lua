-- settle: ends deliveries, each only for the consumer and the delivery count that hold its lease now.
--
-- KEYS[1] index  KEYS[2] finished  KEYS[3] finished expiry  KEYS[4] dead  KEYS[5] dead records
-- KEYS[6..]  the streams, due sets and error lists that the deliveries name, and then, where one has labels, the label index
--            (a new message as well)
-- ARGV[1] group  ARGV[2] consumer  ARGV[3] wake-up channel  ARGV[4] most finished messages kept  ARGV[5] number of bundles
-- ARGV[6] number of new messages that ends of deliveries make
-- ARGV[7..]  four values for each of these:
--   1 which of the other deliveries makes it, from 1   2 number of its due set in KEYS   3 its score   4 its record
-- then bundles of deliveries that are over at the first try (finished, delivered once, no errors): what most are
--   1 number of their stream in KEYS   2 how many: n   3 the first and 4 the last of their entry ids
--   5 retention, ms; 0 keeps nothing   n entry ids   n message ids   n texts that are kept (JSON), where there is a retention
-- then twelve values for each other delivery, thirteen with the label index:
--   1 number of its stream in KEYS   2 entry id   3 deliveries   4 message id
--   5 outcome: finished | retry | dead
--   6 number of its error list in KEYS, 0 where there is none
--   7 text: finished: what is kept (JSON, '' keeps none); retry, dead: this attempt's error (JSON, '' none)
--   8 finished: retention, ms; retry: delay, ms; dead: errors kept
--   9 retry: number of its due set in KEYS; else 0
--  10 retry: attempts spent and, where there are some, deferrals: '2' or '2 5/1790000000000'; dead: first line of the dead record (JSON); else ''
--  11 number in KEYS of the places that flow keys of its topic hold, and after it of when to look at them and of the places that are
--     kept, since an ordered message that is retried keeps that of its key; 0: it holds no place
--  12 its flow key
--  13 its labels, tabs between
--
-- Returns per delivery: 1 settled; 0 refused, the lease is not this consumer's (any more): nothing is written for it
--
-- Frees: begins with the removal, so a full Redis still drains.
--@include now
--@include scores
--@include wake
--@include lease
--@include entry
--@include finish
--@include lanes
--@include flow
--@include labels

local group, consumer, channel = ARGV[1], ARGV[2], ARGV[3]
local ERRORS_KEPT = 20
local now = now_ms()

-- Everything is checked before the first write: the lease of each delivery, its arguments, and the type of each key.
redis.call('HLEN', KEYS[1])
redis.call('HLEN', KEYS[2])
redis.call('ZCARD', KEYS[3])
redis.call('ZCARD', KEYS[4])
redis.call('HLEN', KEYS[5])
local labels = label_index()
if labels then redis.call('ZCARD', labels) end
local results, held, bundles = {}, {}, {}
local seen = {} -- stream -> entry -> whether it may be settled; false once it is taken: a call may name an entry twice

-- The leases of a bundle in one look. What lies between and is not of it makes the look longer: past a bound each is looked up.
local function look(stream, count, first, last)
  local found, most = seen[stream] or {}, 2 * count + 100
  seen[stream] = found
  local rows = redis.pcall('XPENDING', stream, group, first, last, most, consumer)
  if rows.err then
    if string.find(rows.err, 'NOGROUP', 1, true) then return found, true end
    error(rows.err)
  end
  for _, row in ipairs(rows) do
    if found[row[1]] == nil then found[row[1]] = row[4] == 1 or nil end
  end
  return found, #rows < most
end

-- New messages, by the delivery that makes them; and the earliest of each due set, which also refuses a key of another type.
local made, heads, at = {}, {}, 7
for _ = 1, tonumber(ARGV[6]) do
  local number, due = tonumber(ARGV[at]), KEYS[tonumber(ARGV[at + 1])]
  made[number] = made[number] or {}
  table.insert(made[number], {due = due, score = ARGV[at + 2], record = ARGV[at + 3]})
  heads[due] = heads[due] or head_score(due) or false
  at = at + 4
end

for _ = 1, tonumber(ARGV[5]) do
  local stream, count, retention = KEYS[tonumber(ARGV[at])], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 4])
  local found, complete = look(stream, count, ARGV[at + 2], ARGV[at + 3])
  local entries, ids, texts, number = {}, {}, {}, 0
  local first_entry, first_id = at + 5, at + 5 + count
  for i = 0, count - 1 do
    local entry = ARGV[first_entry + i]
    local ours = found[entry]
    if ours == nil and not complete then
      local owner, deliveries = lease(stream, group, entry)
      ours = owner == consumer and deliveries == 1
    end
    if ours then
      found[entry], number = false, number + 1
      entries[number], ids[number] = entry, ARGV[first_id + i]
      if retention > 0 then texts[number] = ARGV[first_id + count + i] end
    end
    results[#results + 1] = ours and 1 or 0
  end
  if number > 0 then bundles[#bundles + 1] = {stream = stream, entries = entries, ids = ids, texts = texts, retention = retention} end
  at = first_id + count + (retention > 0 and count or 0)
end

local other = 0
for i = at, #ARGV, labels and 13 or 12 do
  other = other + 1
  local stream, entry = KEYS[tonumber(ARGV[i])], ARGV[i + 1]
  local owner, deliveries = lease(stream, group, entry)
  local found = seen[stream] or {}
  local ours = owner == consumer and deliveries == tonumber(ARGV[i + 2]) and found[entry] ~= false
  results[#results + 1] = ours and 1 or 0
  if ours then
    seen[stream], found[entry] = found, false
    local one = {
      stream = stream, entry = entry, id = ARGV[i + 3], outcome = ARGV[i + 4],
      errors = KEYS[tonumber(ARGV[i + 5])], text = ARGV[i + 6], number = tonumber(ARGV[i + 7]),
      due = KEYS[tonumber(ARGV[i + 8])], last = ARGV[i + 9], flow = tonumber(ARGV[i + 10]), flow_key = ARGV[i + 11],
      labels = labels and ARGV[i + 12], makes = made[other],
    }
    if one.errors then redis.call('LLEN', one.errors) end
    if one.flow > 0 then
      for number = one.flow, one.flow + 2 do redis.call('ZCARD', KEYS[number]) end
    end
    if one.outcome == 'retry' then
      one.head, one.score = head_score(one.due), score_at(one.id, now + one.number)
    elseif one.outcome ~= 'dead' and not (one.outcome == 'finished' and one.number) then
      error('settle: argument ' .. i + 4 .. ' is no outcome, or lacks its number')
    end
    if one.outcome ~= 'finished' then
      local _, _, record = entry_fields(stream, entry)
      one.record = record
      one.stays = one.outcome == 'retry' and record ~= nil and is_ordered(record)
    end
    held[#held + 1] = one
  end
end
if #held == 0 and #bundles == 0 then return results end

-- The removals, one call a stream.
for _, bundle in ipairs(bundles) do
  redis.call('XACK', bundle.stream, group, unpack(bundle.entries))
  redis.call('XDEL', bundle.stream, unpack(bundle.entries))
end
local acks = {}
for _, one in ipairs(held) do
  local list = acks[one.stream] or {}
  acks[one.stream] = list
  list[#list + 1] = one.entry
end
for stream, entries in pairs(acks) do
  redis.call('XACK', stream, group, unpack(entries))
  redis.call('XDEL', stream, unpack(entries))
end

local gone, kept, expiries = {}, {}, {}
for _, bundle in ipairs(bundles) do
  redis.call('HDEL', KEYS[1], unpack(bundle.ids))
  local expiry = string.format('%d', now + bundle.retention)
  for i, text in ipairs(bundle.texts) do
    kept[#kept + 1] = bundle.ids[i]
    kept[#kept + 1] = text
    expiries[#expiries + 1] = expiry
    expiries[#expiries + 1] = bundle.ids[i]
  end
end

local function forget(one)
  gone[#gone + 1] = one.id
  if one.errors then redis.call('DEL', one.errors) end
  if one.labels then
    local own = {}
    for label in string.gmatch(one.labels, '[^\t]+') do own[#own + 1] = label end
    remove_labels(labels, one.id, own)
  end
end

local outcomes = {}

function outcomes.finished(one)
  if one.text ~= '' and one.number > 0 then
    kept[#kept + 1] = one.id
    kept[#kept + 1] = with_errors(one.text, one.errors)
    expiries[#expiries + 1] = string.format('%d', now + one.number)
    expiries[#expiries + 1] = one.id
  end
  forget(one)
end

local function note_error(one)
  if one.text ~= '' and one.errors then
    redis.call('RPUSH', one.errors, one.text)
    redis.call('LTRIM', one.errors, -ERRORS_KEPT, -1)
  end
end

function outcomes.retry(one)
  if not one.record then return forget(one) end -- deleted from the stream by a stranger: nothing is left to retry
  note_error(one)
  redis.call('ZADD', one.due, score_text(one.score), one.record)
  redis.call('HSET', KEYS[1], one.id, 'due ' .. score_text(one.score) .. ' ' .. one.last)
  wake(channel, one.due, one.head, one.score)
end

function outcomes.dead(one)
  note_error(one)
  redis.call('ZADD', KEYS[4], string.format('%d', now), one.id)
  redis.call('HSET', KEYS[5], one.id, one.last .. '\n' .. errors_text(one.errors) .. '\n' .. (one.record or ''))
  forget(one)
end

-- The wake-up is told of the first only: another that is earlier still finds the dispatcher awake.
local function make(one)
  for _, new in ipairs(one.makes) do
    redis.call('ZADD', new.due, new.score, new.record)
    wake(channel, new.due, heads[new.due] or nil, tonumber(new.score))
    if labels then add_labels(labels, {new.record}) end
  end
end

local function leave_place(one)
  local places, following, kept_places = unpack(KEYS, one.flow, one.flow + 2)
  if one.stays then
    keep(places, kept_places, following, one.flow_key, one.id, channel, now)
  else
    release(places, following, one.flow_key, one.id, channel, now)
  end
end

for _, one in ipairs(held) do
  outcomes[one.outcome](one)
  if one.makes then make(one) end
  if one.flow > 0 then leave_place(one) end
end
if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
if #kept > 0 then
  redis.call('HSET', KEYS[2], unpack(kept))
  redis.call('ZADD', KEYS[3], unpack(expiries))
  trim_finished(KEYS[2], KEYS[3], now, tonumber(ARGV[4]), 2 * #results)
end
return results
