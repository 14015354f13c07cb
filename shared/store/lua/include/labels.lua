-- The label index: a ZSET of score 0 with '<label> <digits of the id> <id>', tabs between, for each label of a message that is not
-- over: so those of a label stand together, by the time first asked for. No label holds a control character.
-- label_index(): its key where the call names it, as the last one; else nil.
-- labels_of(record): what a record's header says, without the body. Only '"' and '\' are escaped in it.
-- add_labels(key, records), remove_labels(key, id, labels): of messages that are stored, of one that is over.
local function label_index()
  local last = KEYS[#KEYS]
  return last and string.find(last, '}:labels$') and last or nil
end

local function labels_of(record)
  local header, found = string.match(record, '^[^\n]*'), {}
  local _, at = string.find(header, '"labels":[', 1, true)
  if not at then return found end
  at = at + 1
  -- With other characters, of which JSON holds none, in place of what is escaped, a label ends at the next quotation mark.
  local escaped = string.find(header, '\\', at, true)
  if escaped then header, at = (string.gsub(string.sub(header, at), '\\(["\\])', {['"'] = '\1', ['\\'] = '\2'})), 1 end
  local label, after = string.match(header, '^"([^"]*)"()', at)
  while label do
    if escaped then label = string.gsub(label, '[\1\2]', {['\1'] = '"', ['\2'] = '\\'}) end
    found[#found + 1] = label
    label, after = string.match(header, '^,"([^"]*)"()', after)
  end
  return found
end

local function label_member(label, id)
  return label .. '\t' .. string.sub(id, -21) .. '\t' .. id
end

local function add_labels(key, records)
  local members = {}
  for number, record in ipairs(records) do
    for _, label in ipairs(labels_of(record)) do
      members[#members + 1] = 0
      members[#members + 1] = label_member(label, string.match(record, '^%S*'))
    end
    if #members > 0 and (#members > 1000 or number == #records) then
      redis.call('ZADD', key, unpack(members))
      members = {}
    end
  end
end

local function remove_labels(key, id, labels)
  local members = {}
  for number, label in ipairs(labels) do members[number] = label_member(label, id) end
  if #members > 0 then redis.call('ZREM', key, unpack(members)) end
end
