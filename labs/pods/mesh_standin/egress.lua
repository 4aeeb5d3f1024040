-- Finds the EgressNetwork of a call that leaves the cluster, and lets Envoy choose among that network's routes.
--
-- A filter before the balancer's, since a script does not see the context of a route that it made Envoy choose.

-- A number for an IPv4 address, nil for a name. A loopback address stands for the one of the cluster with the same end.
local function number_of(host)
  local a, b, c, d = string.match(host, "^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
  if a == "127" then a = "10" end
  return a and ((a * 256 + b) * 256 + c) * 256 + d
end

-- Whether a CIDR has the address; a name is anywhere, and so only in the CIDR that has everything.
local function has(cidr, address)
  local base, bits = string.match(cidr, "^([%d.]+)/?(%d*)$")
  if not base then return false, 0 end -- IPv6
  bits = tonumber(bits) or 32
  if not address then return bits == 0, bits end
  local block = 2 ^ (32 - bits)
  return math.floor(address / block) == math.floor(number_of(base) / block), bits
end

local function is_in(line, address)
  local network, cidr, exceptions = string.match(line, "^(%S+) (%S+)(.*)$")
  local inside, bits = has(cidr, address)
  if not inside then return end
  for exception in string.gmatch(address and exceptions or "", "%S+") do
    if has(exception, address) then return end
  end
  return network, bits
end

-- The network with the narrowest CIDR that has the host; of equals the first.
local function network_of(text, host)
  local address, best, narrowest = number_of(host), nil, -1
  for line in string.gmatch(text, "[^\n]+") do
    local network, bits = is_in(line, address)
    if network and bits > narrowest then best, narrowest = network, bits end
  end
  return best
end

function envoy_on_request(handle)
  local networks = handle:filterContext():get("networks")
  if not networks then return end
  local authority = handle:headers():get(":authority") or ""
  local host, port = string.match(authority, "^(.*):(%d+)$")
  local network = network_of(networks, host or authority)
  if not network then return end
  handle:streamInfo():dynamicMetadata():set("l5d", "egress", network .. ":" .. (port or "80"))
  handle:clearRouteCache()
end
