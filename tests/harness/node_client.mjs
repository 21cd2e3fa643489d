// Node's fetch, for tests/integration/clients.py: node_client.mjs SCENARIO URL
// Prints what it saw as JSON.
import { createHash } from "node:crypto";

const scenarios = { hello, json, files, events, upload };
const [name, url] = process.argv.slice(2);

async function hello() {
    const responses = await Promise.all(Array.from({ length: 50 }, () => fetch(url)));
    return {
        texts: await Promise.all(responses.map((response) => response.text())),
        type: responses[0].headers.get("Content-Type"),
    };
}

async function json() {
    const note = { text: "caf\u00e9 \u{1f600}" };
    const post = (type) => fetch(url + "/notes", {
        method: "POST", body: JSON.stringify(note), headers: { "Content-Type": type },
    });
    const made = await post("application/json");
    const location = made.headers.get("Location");
    const shown = await fetch(url + location);
    const same = JSON.stringify(await shown.json()) === JSON.stringify(note);
    const gone = await fetch(url + location, { method: "DELETE" });
    const missing = await fetch(url + location);
    const refused = await post("text/plain");
    return {
        statuses: [made, shown, gone, missing, refused].map((response) => response.status),
        location, same,
    };
}

async function files() {
    const hash = createHash("sha256");
    const all = await fetch(url + "/large.bin");
    for await (const piece of all.body)
        hash.update(piece);
    const part = await fetch(url + "/large.bin", { headers: { Range: "bytes=100-109" } });
    const etag = all.headers.get("ETag");
    const again = await fetch(url + "/large.bin", { headers: { "If-None-Match": etag } });
    return {
        sha256: hash.digest("hex"),
        range: [part.status, part.headers.get("Content-Range"),
                Array.from(new Uint8Array(await part.arrayBuffer()))],
        "not modified": again.status,
    };
}

// A parser of the stream as it comes in: events as [type, data].
async function* eventsOf(body) {
    let text = "";
    for await (const piece of body.pipeThrough(new TextDecoderStream())) {
        text += piece;
        for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
            const lines = text.slice(0, end).split("\n");
            const values = (field) => lines.filter((line) => line.startsWith(field + ": "))
                .map((line) => line.slice(field.length + 2)).join("\n");
            yield [values("event"), values("data")];
        }
    }
}

async function events() {
    const leave = new AbortController();
    const response = await fetch(url + "/events", { signal: leave.signal });
    const seen = { type: response.headers.get("Content-Type"), ticks: [] };
    for await (const [type, data] of eventsOf(response.body)) {
        if (type === "note") {
            seen.note = data;
            break;
        }
        if (seen.ticks.length === 2)
            continue; // of a slow machine
        seen.ticks.push(data);
        if (seen.ticks.length === 2)
            await fetch(url + "/notes", { method: "POST", body: "one\ntwo" });
    }
    leave.abort();
    return seen;
}

async function upload() {
    const form = new FormData();
    form.append("files", new Blob([new Uint8Array(3000000).fill(7)]), "seven");
    form.append("text", "no file");
    form.append("files", new Blob(["small"]), "small");
    const response = await fetch(url + "/upload", { method: "POST", body: form });
    return { status: response.status, text: await response.text() };
}

console.log(JSON.stringify(await scenarios[name]()));
process.exit(); // with connections that are kept alive
