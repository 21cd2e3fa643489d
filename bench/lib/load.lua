-- What wrk is to send, and how it reports: `wrk -s load.lua URL -- DEPTH`.
--
-- DEPTH requests are written at once on each connection before an answer is
-- awaited; 1 is no pipelining.  The result is one line of JSON.

function init(args)
    local depth = tonumber(args[1]) or 1
    -- Without a function `request`, wrk sends one prepared request and does not
    -- enter Lua again.
    if depth > 1 then
        local batch = string.rep(wrk.format(), depth)
        request = function() return batch end
    end
end

local function field(name, value)
    return string.format('"%s": %d', name, value)
end

function done(summary, latency, requests)
    local errors = summary.errors
    local refused = errors.connect + errors.read + errors.write + errors.timeout
    print("{" .. table.concat({
        field("requests", summary.requests),
        field("duration_us", summary.duration),
        field("errors", refused),
        field("non_2xx", errors.status),
        field("p50_us", latency:percentile(50)),
        field("p99_us", latency:percentile(99)),
    }, ", ") .. "}")
end
