// Calls QStash's client for JavaScript as it is told: a line of JSON for each call, and a line for what came of it.
// The URL and the token are taken from the environment, as in any program that uses the client; nothing else is set.
//
//   {"call": "messages.get", "args": ["id"]}                 client.messages.get("id")
//   {"call": "upsert", "queue": "q", "args": [{}]}           client.queue({ queueName: "q" }).upsert({})
//   {"call": "verify", "args": [{ keys }, { request }]}      new Receiver({ keys }).verify({ request })
//
// answers {"told": ...} or {"raised": {"name", "message", "status"}}. In arguments {"$date": ms} stands for a Date and
// {"$bytes": base64} for bytes, which JSON does not have.

import { createInterface } from "node:readline";
import { Client, Receiver } from "@upstash/qstash";

const client = new Client();

function revive(_, value) {
  if (typeof value?.$date === "number") return new Date(value.$date);
  if (typeof value?.$bytes === "string") return Buffer.from(value.$bytes, "base64");
  return value;
}

function call({ call: name, queue, args }) {
  if (name === "verify") return new Receiver(args[0]).verify(args[1]);
  const steps = name.split(".");
  const method = steps.pop();
  const part = queue === undefined ? steps.reduce((of, step) => of[step], client) : client.queue({ queueName: queue });
  return part[method](...args);
}

async function answer(line) {
  try {
    return { told: (await call(JSON.parse(line, revive))) ?? null };
  } catch (error) {
    return { raised: { name: error.name, message: error.message, status: error.status ?? null } };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await answer(line)) + "\n");
}
