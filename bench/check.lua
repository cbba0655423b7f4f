-- A wrk script that POSTs access checks about many readers and stories. With `counted` each request has a new reader or visitor.
local thread = 0
function setup(t) t:set("number", thread); thread = thread + 1 end
local n = 0
function init(args)
  kind, run = args[1] or "entitled", args[2] or "0"
  readers, stories = tonumber(args[3] or 1500), tonumber(args[4] or 120)
  math.randomseed(number + 1)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Authorization"] = "Bearer bench-site-key-of-one-run"
end
local story = '{"id":"2026-%s-%d","section":"city","tags":["harbour"],"tier":"metered",' ..
  '"published_at":"2026-11-20T09:00:00Z","parts":["facts","notebook"]}'
local function about(name) return string.format(story, name, math.random(stories)) end
function request()
  n = n + 1
  local who
  local new = run .. "-" .. number .. "-" .. n
  local which = math.random(readers)
  if kind == "batch" then
    local list = {}
    for at = 1, 20 do list[at] = about("story") end
    local body = string.format('{"stories":[%s],"reader":"r-entitled-%d"}', table.concat(list, ","), which)
    return wrk.format(nil, nil, nil, body)
  end
  if kind == "used_up" then who = string.format('"reader":"r-used-up-%d","visitor":"v-%d"', which, which)
  elseif kind == "visitor_used_up" then who = string.format('"visitor":"v-used-up-%d"', which)
  elseif kind == "counted" then who = string.format('"reader":"r-%s","visitor":"v-%s"', new, new)
  elseif kind == "visitor_counted" then who = string.format('"visitor":"v-%s"', new)
  else who = string.format('"reader":"r-entitled-%d","visitor":"v-%d"', which, which) end
  if kind == "compared" then who = who .. ',"incumbent":"full"' end
  return wrk.format(nil, nil, nil, string.format('{"story":%s,%s}', about(string.find(kind, "used_up") and "other" or "story"), who))
end
