-- Scores are due milliseconds plus a tie of 1/2048ths that the id carries (see shared/ids.py); a double holds both exactly.
local function own_score(id)
  return tonumber(string.sub(id, -21, -11), 32) / 2048
end

local function score_at(id, due_ms)
  local digits = tonumber(string.sub(id, -21, -11), 32) or 0 -- an id of another format has no tie
  return due_ms + (digits % 2048) / 2048
end

local function score_text(score)
  return string.format('%.17g', score)
end
