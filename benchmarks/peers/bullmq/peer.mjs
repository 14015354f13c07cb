// BullMQ as a peer of the benchmark. Three commands, those of the other peers too:
//
//   node peer.mjs describe
//   node peer.mjs fill --redis URL --count N [--bytes B] --due now|far|EPOCH_MS [--per-second R] [--first K]
//   node peer.mjs work --redis URL --marks PATH --profile drain|lateness|recovery|default [--hang]
//
// Its settings are the best that its documentation offers and that were fastest when tried; `describe` says which and why.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { Marks, bodyOf } from "./marks.mjs";

const QUEUE = "bench";
const CHUNK = 1000; // jobs of one addBulk
const CHUNKS_IN_FLIGHT = 2; // the next one is built while the server works on the one before
const DAY_MS = 86_400_000;
const HANG_MS = 600_000;
const HANG_CONCURRENCY = 100;

/** Options of the worker. Finished jobs are removed by the worker's option: the job's own would be stored with every job. */
const REMOVE = { removeOnComplete: { count: 0 } };
const PROFILES = {
  default: {},
  drain: { ...REMOVE, concurrency: 100 },
  lateness: { ...REMOVE, concurrency: 100 },
  recovery: { ...REMOVE, concurrency: 100, lockDuration: 5000, stalledInterval: 1000, maxStalledCount: 10 },
};

const DESCRIPTION = {
  name: "bullmq",
  version: JSON.parse(readFileSync(new URL("./package.json", import.meta.url), "utf8")).dependencies.bullmq,
  settings: {
    drain: "concurrency 100 (50 to 500 are as fast), removeOnComplete count 0 on the worker; addBulk of 1000, two in flight; ioredis",
    lateness: "as for drain; a worker blocks in Redis until the next job is due",
    recovery: "lockDuration 5000, stalledInterval 1000, maxStalledCount 10, concurrency 100 (defaults: 30000, 30000, 1, 1)",
  },
  documented_at: [
    "https://docs.bullmq.io/guide/workers/concurrency",
    "https://docs.bullmq.io/guide/queues/adding-bulks",
    "https://docs.bullmq.io/guide/workers/auto-removal-of-jobs",
    "https://docs.bullmq.io/guide/jobs/delayed",
    "https://docs.bullmq.io/guide/jobs/stalled",
    "https://docs.bullmq.io/guide/going-to-production",
  ],
  recovers: true,
  schedules: true,
  notes:
    "Redis ends the blocking call that waits for the next due job on its own clock tick: with its default of hz 10 a delayed job " +
    "that finds the worker idle starts up to 100 ms late; with hz 100 in Redis's configuration up to about 10 ms. A job of a " +
    "killed worker comes back at the first check after its lock ran out. enableAutoPipelining of ioredis made it slower, and " +
    "the node-redis client was no faster.",
};

const connect = (url) => new Redis(url, { maxRetriesPerRequest: null }); // null: what BullMQ asks for

/** When a job is due, as options of it. `timestamp` goes with a time of its own, so that the job is due at exactly that. */
function dueOptions({ due, count, perSecond }) {
  if (due === "now") return () => undefined;
  if (due === "far") return (position) => ({ delay: 30 * DAY_MS + Math.floor((position * DAY_MS) / count) });
  const timestamp = Date.now();
  return (position) => ({ timestamp, delay: Math.max(0, Math.ceil(Number(due) + (position * 1000) / perSecond) - timestamp) });
}

async function fill({ redis, count, bytes, due, perSecond, first }) {
  const connection = connect(redis);
  const queue = new Queue(QUEUE, { connection });
  await queue.waitUntilReady();
  const started = performance.now();
  const optionsOf = dueOptions({ due, count, perSecond });
  let next = 0;
  const addChunks = async () => {
    while (next < count) {
      const jobs = [];
      for (const end = Math.min(count, next + CHUNK); next < end; next++) {
        jobs.push({ name: "m", data: bodyOf(first + next, bytes), opts: optionsOf(next) });
      }
      await queue.addBulk(jobs);
    }
  };
  await Promise.all(Array.from({ length: CHUNKS_IN_FLIGHT }, addChunks));
  const seconds = (performance.now() - started) / 1000;
  const { userCPUTime, systemCPUTime } = process.resourceUsage();
  console.log(JSON.stringify({ seconds, cpu_s: (userCPUTime + systemCPUTime) / 1e6 }));
  await queue.close();
  await connection.quit();
}

async function work({ redis, marks: path, profile, hang }) {
  const marks = new Marks(path);
  const handler = async (job) => {
    marks.start(job.data);
    if (hang) await new Promise((resolve) => setTimeout(resolve, HANG_MS));
  };
  const options = { ...PROFILES[profile], connection: connect(redis) };
  if (hang) options.concurrency = HANG_CONCURRENCY;
  const worker = new Worker(QUEUE, handler, options);
  worker.on("error", (error) => console.error(error));
  worker.on("failed", (job, error) => console.error(`job ${job?.id} failed: ${error.message}`));
  process.on("SIGTERM", async () => {
    if (!hang) await worker.close();
    marks.flush();
    process.exit(0);
  });
  await worker.waitUntilReady();
  console.log("ready");
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    redis: { type: "string" },
    count: { type: "string" },
    bytes: { type: "string", default: "100" },
    due: { type: "string", default: "now" },
    "per-second": { type: "string", default: "1000" },
    first: { type: "string", default: "0" },
    marks: { type: "string" },
    profile: { type: "string", default: "default" },
    hang: { type: "boolean", default: false },
  },
});
if (positionals[0] === "describe") console.log(JSON.stringify(DESCRIPTION));
else if (positionals[0] === "fill") {
  const { redis, due } = values;
  const [count, bytes, perSecond, first] = ["count", "bytes", "per-second", "first"].map((name) => Number(values[name]));
  await fill({ redis, count, bytes, due, perSecond, first });
} else if (positionals[0] === "work" && values.profile in PROFILES) await work(values);
else {
  console.error("describe, fill or work; profiles: " + Object.keys(PROFILES).join(", "));
  process.exit(2);
}
