-- What came of a run of wrk, as one line of JSON.

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
