// The negative control of the zero-loss tests: a broker that stores what it publishes, as most gateways do.
// aedes acknowledges before on('publish') runs, so a kill loses messages that the sender was told are safe. What the
// disk refuses is kept in memory and tried again.
// Usage: node naive-gateway.mjs PORT DATABASE_FILE

import { createServer } from 'node:net';
import { Aedes } from 'aedes';
import Database from 'better-sqlite3';

const [port, file] = process.argv.slice(2);
const database = new Database(file, { timeout: 50 });
database.pragma('journal_mode = WAL');
database.pragma('synchronous = FULL');
database.exec('CREATE TABLE IF NOT EXISTS message (topic TEXT, payload TEXT)');
const insert = database.prepare('INSERT INTO message VALUES (?, ?)');
let waiting = [];
setInterval(() => {
  const batch = waiting;
  waiting = [];
  if (batch.length === 0) return;
  try {
    database.transaction(() => {
      for (const { topic, payload } of batch) insert.run(topic, payload);
    })();
  } catch {
    waiting = [...batch, ...waiting];
  }
}, 50);
const broker = await Aedes.createBroker();
broker.on('publish', (packet, client) => {
  if (client) waiting.push({ topic: packet.topic, payload: packet.payload.toString() });
});
createServer(broker.handle).listen(Number(port), '127.0.0.1');
