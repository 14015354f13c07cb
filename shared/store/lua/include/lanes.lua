-- slice(keys, first, last): those of a list.
-- level_of_key(key): the priority level of a stream's key.
-- level_of(record): the priority level that a record asks for: where it asks for one, that is the first of its options.
local function slice(keys, first, last)
  return {unpack(keys, first, last)}
end

local function level_of_key(key)
  return string.match(key, '[^:]+$')
end

local function level_of(record)
  return string.match(record, '^%S+ v2 %d+ %S+ {"priority":"(%a+)"') or 'normal'
end
