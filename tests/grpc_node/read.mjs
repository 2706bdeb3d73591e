// Reads a ticket with a gRPC client that has its default options. Prints what it received, as JSON.

import { Client, credentials } from "@grpc/grpc-js";

const [address, ticket] = process.argv.slice(2);
const method = "/arrow.flight.protocol.FlightService/DoGet";

// The message Ticket has one field, `bytes ticket = 1`.
function encoded(text) {
  const bytes = Buffer.from(text);
  const length = [];
  let rest = bytes.length;
  for (; rest > 127; rest >>>= 7) length.push((rest & 127) | 128);
  return Buffer.from([0x0a, ...length, rest, ...bytes]);
}

const sizes = [];
const client = new Client(address, credentials.createInsecure());
const call = client.makeServerStreamRequest(method, encoded, (bytes) => bytes.length, ticket);
call.on("data", (size) => sizes.push(size));
call.on("error", (error) => print(error.details));
call.on("end", () => print(null));

let printed = false;
function print(error) {
  if (printed) return;
  printed = true;
  console.log(JSON.stringify({ messages: sizes.length, largest: Math.max(0, ...sizes), error }));
  client.close();
}
