// Reads an asset, runs a query or searches, in Node.
//
//   node read.mjs read analytics/events
//   node read.mjs query '{ orders(limit: 3) { id totalPrice } }'
//   node read.mjs search entity_type:Order

import { Client } from "./fraiseql.mjs";

const [what, argument] = process.argv.slice(2);
const url = process.env.FRAISEQL_HTTP_URL || "http://127.0.0.1:8080";
const client = new Client(url, process.env.FRAISEQL_FLIGHT_TOKEN);

const commands = {
  async read(asset) {
    const started = performance.now();
    const { rows: announced, parts } = await client.about(asset);
    const table = await client.readAsset(asset);
    const seconds = ((performance.now() - started) / 1000).toFixed(2);
    const of = announced ?? "unknown";
    return `${asset}: ${table.numRows} rows of ${of} announced, ${parts.length} endpoints, ${seconds} s`;
  },
  async query(query) {
    return `${(await client.query(query)).numRows} rows`;
  },
  async search(text) {
    return `${(await client.search(text)).numRows} hits`;
  },
};

try {
  if (!commands[what] || !argument) {
    throw new Error("Give one of: read ASSET, query GRAPHQL, search TEXT.");
  }
  console.log(await commands[what](argument));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
