// Audits the GraphQL over HTTP at a URL, and prints what each audit found, as JSON.

import { serverAudits } from "graphql-http";

const url = process.argv[2];
const found = [];
for (const audit of serverAudits({ url })) {
  const result = await audit.fn();
  const why = result.status === "ok" ? "" : result.reason;
  found.push({ id: audit.id, name: audit.name, status: result.status, why });
}
console.log(JSON.stringify(found));
