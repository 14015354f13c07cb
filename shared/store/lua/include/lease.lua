-- lease(stream, group, entry): who holds a delivery now. Returns consumer, deliveries, idle_ms; nil where nobody does.
-- A stream or group that is not there (yet) holds nothing.
local function lease(stream, group, entry)
  local rows = redis.pcall('XPENDING', stream, group, entry, entry, 1)
  if rows.err then
    if string.find(rows.err, 'NOGROUP', 1, true) then return nil end
    error(rows.err)
  end
  if rows[1] then return rows[1][2], tonumber(rows[1][4]), tonumber(rows[1][3]) end
  return nil
end
