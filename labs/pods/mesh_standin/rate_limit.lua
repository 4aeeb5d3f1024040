-- Linkerd's local rate limits for Envoy: a total, one for each client identity, and overrides for named clients.
--
-- Runs in an inbound listener's one worker, so that plain tables are the whole state. Each limit of N requests a second lets
-- N through at once and then one every 1/N s (the generic cell rate algorithm, as linkerd2-proxy's local_rate_limit.rs has it).

local EPSILON = 1e-9 -- seconds lost to the rounding of sums

local limits = nil -- what the route said last: {text, total, identity, overrides = {identity = rate}}
local next_free = {} -- by limit: when its next request would come if they came evenly

local function now(handle)
  return tonumber(handle:timestampString(EnvoyTimestampResolution.MICROSECOND)) / 1e6
end

local function admits(key, rate, time)
  local due = math.max(next_free[key] or time, time)
  if due - time > (rate - 1) / rate + EPSILON then return false end
  next_free[key] = due + 1 / rate
  return true
end

-- `text`: RATE NAME NAME… for each override, one after the other with semicolons between them.
local function overrides_of(text)
  local found = {}
  for entry in string.gmatch(text, "[^;]+") do
    local rate, names = string.match(entry, "^(%d+) (.*)$")
    for name in string.gmatch(names, "%S+") do found[name] = {rate = tonumber(rate), key = "override " .. entry} end
  end
  return found
end

local function read(context)
  local text = context:get("limits")
  if limits and limits.text == text then return end
  limits = {text = text, total = context:get("total"), identity = context:get("identity")}
  limits.overrides = overrides_of(context:get("overrides"))
  next_free = {}
end

local function client_of(handle)
  local tls = handle:streamInfo():downstreamSslConnection()
  return tls and tls:peerCertificatePresented() and tls:dnsSansPeerCertificate()[1] or ""
end

-- Which limit a request of `client` exceeds: its scope, its name in errors and its rate; nil if none.
local function exceeded(client, time)
  if limits.total and not admits("total", limits.total, time) then return "total", "total", limits.total end
  local override = limits.overrides[client]
  if override then
    if not admits(override.key, override.rate, time) then return "identity", "override", override.rate end
    return
  end
  -- Clients without an identity share one limit.
  if limits.identity and not admits("identity " .. client, limits.identity, time) then
    return "identity", "per-identity", limits.identity
  end
end

function envoy_on_request(handle)
  local context = handle:filterContext()
  if not context:get("limits") then return end
  read(context)
  local client = client_of(handle)
  local scope, name, rate = exceeded(client, now(handle))
  if not scope then return end
  local error = string.format("%s rate limit exceeded: %drps", name, rate)
  local metadata = handle:streamInfo():dynamicMetadata()
  metadata:set("l5d", "limited", scope .. " " .. context:get("ref"))
  metadata:set("l5d", "limit_error", error)
  local headers = {[":status"] = "429"}
  if client ~= "" then headers["l5d-proxy-error"] = error end -- words are for meshed clients only
  handle:respond(headers, "")
end
