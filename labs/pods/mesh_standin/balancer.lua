-- Linkerd's balancer for Envoy: power of two choices over peak-EWMA latencies, failure accrual, and fail-fast.
--
-- Runs in the outbound listener's one worker, so that plain tables are the whole state. It names the endpoints a request
-- and its retries go to; the cluster's override_host policy obeys. Durations in seconds.

local DECAY = 10.0 -- of the latency estimate; DECAY and DEFAULT_LATENCY are Linkerd's
local DEFAULT_LATENCY = 0.03
local FAIL_FAST = 3.0 -- how long a request waits for an endpoint
local PAUSE_MS = 1000 -- upper limit of one pause; the pause listener answers sooner
local REFUSED_FIRST, REFUSED_LAST = 0.1, 4.0 -- an endpoint that refuses connections is left alone for that long
local FORGET = 10.0 -- a request without an answer for so long was given up by its client (Envoy does not tell Lua when)
local SWEEP_EVERY = 1.0
local EXHAUSTED = "8" -- gRPC's resource exhausted
local BUCKETS = 10 -- the slices of a success rate's window

local services = {} -- by key: {text, breaker, endpoints = {address = endpoint}, order = {endpoint…}, failing_fast}
local requests = {} -- by id: {service, picks, started, retried}
local last_id = 0
local swept = 0 -- when

local function now(handle)
  return tonumber(handle:timestampString(EnvoyTimestampResolution.MICROSECOND)) / 1e6
end

-- Failure accrual starts over: nothing has failed, nothing is being probed.
local function reset_breaker(endpoint)
  endpoint.failures, endpoint.penalty, endpoint.probed, endpoint.window = 0, 0, nil, nil
end

local function new_endpoint(address, time)
  local endpoint = {address = address, latency = DEFAULT_LATENCY, sampled = time, pending = 0, refused = 0, away_until = 0}
  reset_breaker(endpoint)
  return endpoint
end

-- The service of a route's context, with its endpoints as the route says; known ones keep what is known of them, but for
-- what a breaker of another configuration has found.
local function service_of(context, time)
  local key, text, breaker = context:get("key"), context:get("endpoints"), context:get("breaker")
  local service = services[key]
  if service and service.breaker ~= breaker then
    service.breaker = breaker
    for _, endpoint in ipairs(service.order) do
      reset_breaker(endpoint)
      endpoint.away_until = 0
    end
  end
  if service and service.text == text then return service end
  local known = service and service.endpoints or {}
  service = {text = text, breaker = breaker, endpoints = {}, order = {}, failing_fast = service and service.failing_fast}
  for address in string.gmatch(text, "[^,]+") do
    local endpoint = known[address] or new_endpoint(address, time)
    service.endpoints[address] = endpoint
    table.insert(service.order, endpoint)
  end
  services[key] = service
  return service
end

local function is_available(endpoint, time)
  return not endpoint.probed and time >= endpoint.away_until
end

local function available(service, time)
  local found = {}
  for _, endpoint in ipairs(service.order) do
    if is_available(endpoint, time) then table.insert(found, endpoint) end
  end
  return found
end

-- What the balancer compares: the decayed peak latency times the requests that would be waiting.
local function load_of(endpoint, time)
  return endpoint.latency * math.exp((endpoint.sampled - time) / DECAY) * (endpoint.pending + 1)
end

local function sample(endpoint, latency, time)
  local weight = math.exp((endpoint.sampled - time) / DECAY)
  if latency > endpoint.latency then weight = 0 end
  endpoint.latency = endpoint.latency * weight + latency * (1 - weight)
  endpoint.sampled = time
end

local function choose(candidates, time)
  if #candidates == 1 then return candidates[1] end
  local first = math.random(#candidates)
  local second = (first + math.random(#candidates - 1) - 1) % #candidates + 1
  local a, b = candidates[first], candidates[second]
  return load_of(b, time) < load_of(a, time) and b or a
end

local function without(candidates, endpoint)
  local found = {}
  for _, candidate in ipairs(candidates) do
    if candidate ~= endpoint then table.insert(found, candidate) end
  end
  return #found > 0 and found or candidates
end

-- One endpoint per attempt. Retries of answers may meet the same one again, retries of refused connections should not.
local function choose_all(candidates, attempts, retried, time)
  local picks = {}
  for i = 1, attempts do
    picks[i] = choose(candidates, time)
    if not retried then candidates = without(candidates, picks[i]) end
  end
  return picks
end

local function settle_probe(endpoint)
  endpoint.probed = nil
end

local function sweep(time)
  if time - swept < SWEEP_EVERY then return end
  swept = time
  for id, request in pairs(requests) do
    if time - request.started > FORGET then
      request.picks[1].pending = request.picks[1].pending - 1
      settle_probe(request.picks[1])
      requests[id] = nil
    end
  end
end

local function fail_fast(handle, context, service)
  local status, reason, name = "504", context:get("backend") .. ": service in fail-fast", "FAIL_FAST"
  if service.failing_fast then status, reason, name = "503", ": service unavailable", "LOAD_SHED" end
  service.failing_fast = true
  local info = handle:streamInfo()
  info:dynamicMetadata():set("l5d", "error", name)
  info:drainConnectionUponCompletion()
  local error = context:get("logical") .. reason
  handle:respond({[":status"] = status, ["l5d-proxy-error"] = error, ["l5d-proxy-connection"] = "close"}, "")
end

-- The endpoints that may be asked, at once or as soon as there is one within FAIL_FAST.
local function wait_for_endpoints(handle, key, service, time)
  local deadline = time + FAIL_FAST
  local found = available(service, time)
  while #found == 0 and time < deadline and not service.failing_fast do
    handle:httpCall("pause", {[":method"] = "GET", [":path"] = "/", [":authority"] = "pause"}, nil, PAUSE_MS)
    time = now(handle)
    service = services[key]
    found = available(service, time)
  end
  return found, time, service
end

function envoy_on_request(handle)
  local context = handle:filterContext()
  local failure = context:get("fail")
  if failure then
    handle:respond({[":status"] = context:get("status"), ["l5d-proxy-error"] = failure}, "")
    return
  end
  local key = context:get("key")
  if not key then return end
  local candidates, time, service = wait_for_endpoints(handle, key, service_of(context, now(handle)), now(handle))
  context = handle:filterContext() -- the one from before a pause is out of scope
  if #candidates == 0 then
    fail_fast(handle, context, service)
    return
  end
  service.failing_fast = false
  local retried = context:get("retried")
  local picks = choose_all(candidates, context:get("attempts"), retried, time)
  local addresses = {}
  for i, pick in ipairs(picks) do addresses[i] = pick.address end
  picks[1].pending = picks[1].pending + 1
  if picks[1].penalty > 0 then picks[1].probed = true end
  last_id = last_id + 1
  sweep(time)
  requests[last_id] = {picks = picks, started = time, retried = retried}
  local metadata = handle:streamInfo():dynamicMetadata()
  metadata:set("envoy.lb", "endpoints", table.concat(addresses, ","))
  metadata:set("envoy.lb", "request", last_id)
end

local function tell(handle, event, endpoint, reason)
  handle:streamInfo():dynamicMetadata():set("l5d", "breaker", event .. " " .. endpoint.address .. " " .. reason)
end

-- A share of successes in a ring of slices, each a tenth of the window: those that are too old are emptied first.
local function roll(window, width, time)
  local steps = math.floor((time - window.began) / width)
  for i = 1, math.min(steps, BUCKETS) do
    window[(window.current + i) % BUCKETS] = {total = 0, good = 0}
  end
  window.current = (window.current + steps) % BUCKETS
  window.began = window.began + steps * width
end

local function count(context, endpoint, good, time)
  local width = context:get("window") / BUCKETS
  local window = endpoint.window
  if not window then
    window = {current = 0, began = time}
    for i = 0, BUCKETS - 1 do window[i] = {total = 0, good = 0} end
    endpoint.window = window
  end
  roll(window, width, time)
  local slice = window[window.current]
  slice.total, slice.good = slice.total + 1, slice.good + (good and 1 or 0)
end

local function success_rate_is_low(context, endpoint)
  local total, good = 0, 0
  for i = 0, BUCKETS - 1 do
    total, good = total + endpoint.window[i].total, good + endpoint.window[i].good
  end
  return total >= context:get("min_requests") and good / total < context:get("threshold")
end

local function take_out(context, endpoint, time)
  endpoint.penalty = math.min(math.max(endpoint.penalty * 2, context:get("min_penalty")), context:get("max_penalty"))
  endpoint.away_until = time + endpoint.penalty * (1 + context:get("jitter") * math.random())
  settle_probe(endpoint)
end

-- Why an answer is one too many: failures in a row, or the success rate where the configuration has one; nil if it is not.
local function trip(context, endpoint, failed, good, time)
  local allowed, threshold = context:get("failures"), context:get("threshold")
  endpoint.failures = failed and endpoint.failures + 1 or 0
  if threshold and threshold > 0 then count(context, endpoint, good, time) end
  if allowed > 0 and endpoint.failures >= allowed then return "ConsecutiveFailures" end
  if threshold and threshold > 0 and success_rate_is_low(context, endpoint) then return "LowSuccessRate" end
end

-- What a probe of an endpoint that is out has found.
local function settle(handle, context, endpoint, good, time)
  if good then
    tell(handle, "reopened", endpoint, context:get("mode"))
    reset_breaker(endpoint)
  else
    take_out(context, endpoint, time)
  end
end

-- Failure accrual: an endpoint that trips is out, then one request is a probe, with a doubled penalty if it fails too.
-- `limited`: the answer says "too many requests", which the mode `unified` takes for a failure of the rate and of a probe.
local function judge(handle, context, endpoint, failed, limited, time)
  if not failed then endpoint.refused = 0 end
  local mode = context:get("mode")
  if not mode then
    settle_probe(endpoint)
    return
  end
  local good = not failed and not (limited and mode == "unified")
  if endpoint.penalty > 0 then
    if endpoint.probed then settle(handle, context, endpoint, good, time) end -- others were sent before it was taken out
    return
  end
  local reason = trip(context, endpoint, failed, good, time)
  if not reason then return end
  tell(handle, "closed", endpoint, mode .. " " .. reason)
  take_out(context, endpoint, time)
end

local function on_refused(endpoint, time)
  endpoint.refused = math.min(math.max(endpoint.refused * 2, REFUSED_FIRST), REFUSED_LAST)
  endpoint.away_until = math.max(endpoint.away_until, time + endpoint.refused)
  settle_probe(endpoint)
end

function envoy_on_response(handle)
  local mine = handle:streamInfo():dynamicMetadata():get("envoy.lb")
  if not mine then return end
  local headers, context, time = handle:headers(), handle:filterContext(), now(handle)
  local counted = tonumber(headers:get("x-envoy-attempt-count") or 1)
  headers:remove("x-envoy-attempt-count")
  local request = requests[mine.request]
  if not request then return end -- forgotten
  requests[mine.request] = nil
  local attempts = math.min(counted, #request.picks)
  local is_local = headers:get("l5d-proxy-error")
  local status = tonumber(headers:get(":status"))
  for i = 1, attempts - 1 do
    if request.retried then judge(handle, context, request.picks[i], true, false, time) else on_refused(request.picks[i], time) end
  end
  if request.retried and attempts > 1 then handle:streamInfo():dynamicMetadata():set("l5d", "retries", attempts - 1) end
  local last = request.picks[attempts]
  if is_local and string.find(is_local, "(Connect)", 1, true) then
    on_refused(last, time)
  else
    local limited = status == 429 or headers:get("grpc-status") == EXHAUSTED
    judge(handle, context, last, status >= 500, limited, time)
  end
  for _ in handle:bodyChunks() do break end -- the latency that counts is the one to the first piece of the body
  request.picks[1].pending = request.picks[1].pending - 1
  if attempts == 1 then sample(last, now(handle) - request.started, now(handle)) end
end
