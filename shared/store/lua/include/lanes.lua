-- slice(keys, first, last): those of a list.
-- level_of_key(key): the priority level of a stream's key.
-- is_lane(key, lane): whether a due set is that of a topic's lane of that name (a topic may have the same name).
-- level_of(record), flow_key_of(record): what a record asks for, '' for no flow key. These are the first of its options.
-- is_ordered(record): whether it keeps the place of its flow key until it is over.
-- lane_of(record): the lane that it waits in: `limited` with a flow key, else that of its level.
local function slice(keys, first, last)
  return {unpack(keys, first, last)}
end

local function level_of_key(key)
  return string.match(key, '[^:]+$')
end

local function is_lane(key, lane)
  return string.match(key, '}:due:[^:]+:(%a+)$') == lane
end

local function level_of(record)
  local level = string.match(record, '^%S+ v2 %d+ %S+ {"priority":"(%a+)"')
  return (level == 'high' or level == 'low') and level or 'normal'
end

local function flow_key_of(record)
  return string.match(record, '^%S+ v2 %d+ %S+ {"flow_key":"([^"]+)"')
    or string.match(record, '^%S+ v2 %d+ %S+ {"priority":"%a+","flow_key":"([^"]+)"') or ''
end

local function is_ordered(record)
  return string.find(record, '^%S+ v2 %d+ %S+ {"flow_key":"[^"]+","ordered":true') ~= nil
    or string.find(record, '^%S+ v2 %d+ %S+ {"priority":"%a+","flow_key":"[^"]+","ordered":true') ~= nil
end

local function lane_of(record)
  return flow_key_of(record) ~= '' and 'limited' or level_of(record)
end
