-- A wrk script that POSTs access checks. With `fresh`, each request is for another reader, so each is a counted read.
local thread = 0
function setup(t) t:set("number", thread); thread = thread + 1 end
local n = 0
function init(args)
  kind, run = args[1] or "entitled", args[2] or "0"
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Authorization"] = "Bearer bench-site-key-of-one-run"
end
local body = '{"story":{"id":"%s","section":"city","tags":["harbour"],"tier":"metered",' ..
  '"published_at":"2026-11-20T09:00:00Z","parts":["facts","notebook"]},"reader":"%s","visitor":"%s"}'
function request()
  if kind == "entitled" then return wrk.format(nil, nil, nil, string.format(body, "story-1", "r-entitled", "v-1")) end
  if kind == "used_up" then return wrk.format(nil, nil, nil, string.format(body, "story-9", "r-used-up", "v-2")) end
  if kind == "constant" then return wrk.format(nil, nil, nil, string.format(body, "story-1", "r", "v")) end
  n = n + 1
  return wrk.format(nil, nil, nil, string.format(body, "story-1", "r-" .. run .. "-" .. number .. "-" .. n, "v-" .. run .. "-" .. number .. "-" .. n))
end
