// FraiseQL's assets, GraphQL results and search hits as Arrow, over HTTP. For browsers and Node.

import { RecordBatchReader, tableFromIPC } from "apache-arrow";

const ARROW = "application/vnd.apache.arrow.stream";

/** An error of the service. Its message says what to do. */
export class FraiseqlError extends Error {
  /** @param {string} message @param {number} status 0 if the service did not answer */
  constructor(message, status) {
    super(message);
    this.name = "FraiseqlError";
    this.status = status;
  }
}

/** A client of the service's HTTP side. */
export class Client {
  /** @param {string} url such as `http://127.0.0.1:8080` @param {string} [token] */
  constructor(url, token) {
    this.url = url.replace(/\/+$/, "");
    this.headers = token ? { authorization: `Bearer ${token}` } : {};
  }

  /** The assets with their columns. */
  async assets() {
    return (await this.#ask("/assets")).json();
  }

  /**
   * The rows of an asset as a table, its partitions read in parallel.
   * @param {string} name such as `analytics/events_hourly`
   * @param {Record<string, string>} [parameters] `columns`, `partition`, `start`, `end`
   */
  async readAsset(name, parameters = {}) {
    const { start, end, ...same } = parameters;
    const about = await this.about(name, parameters);
    const wanted =
      about.parts.length > 1
        ? about.parts.map(({ partition }) => ({ ...same, partition }))
        : [parameters];
    const read = async (each) => tableFromIPC(await this.#arrow(assetPath(name, each)));
    const [first, ...rest] = await Promise.all(wanted.map(read));
    const table = first.concat(...rest);
    // There may be more rows than announced: events arrive meanwhile.
    if (about.rows !== null && table.numRows < about.rows) {
      throw new FraiseqlError(`${table.numRows} of ${about.rows} rows arrived. Read them again.`, 0);
    }
    return table;
  }

  /** What is known of an asset before it is read: its rows, or null, and its partitions. */
  async about(name, parameters = {}) {
    return (await this.#ask(assetPath(name, { ...parameters, format: "info" }))).json();
  }

  /** The rows of an asset, batch by batch, as they arrive. */
  async *batches(name, parameters = {}) {
    const response = await this.#arrow(assetPath(name, parameters));
    yield* await RecordBatchReader.from(response);
  }

  /** The rows of a GraphQL query as a table. */
  async query(query, variables = {}) {
    const body = JSON.stringify({ query, variables });
    const headers = { "content-type": "application/json" };
    return tableFromIPC(await this.#arrow("/graphql", { method: "POST", headers, body }));
  }

  /**
   * Events and requests that match, as a table.
   * @param {string} text @param {Record<string, string>} [parameters] such as `since`, `limit`
   */
  async search(text, parameters = {}) {
    return tableFromIPC(await this.#arrow(`/search?${new URLSearchParams({ q: text, ...parameters })}`));
  }

  #arrow(path, options = {}) {
    return this.#ask(path, { ...options, headers: { ...options.headers, accept: ARROW } });
  }

  async #ask(path, options = {}) {
    const headers = { ...options.headers, ...this.headers };
    let response;
    try {
      response = await fetch(this.url + path, { ...options, headers });
    } catch (error) {
      if (/CERT|SIGNATURE/.test(error.cause?.code)) {
        throw new FraiseqlError(
          `The certificate of ${this.url} is not trusted (${error.cause.code}). ` +
            `Set NODE_EXTRA_CA_CERTS to the file of its certificate authority.`,
          0,
        );
      }
      throw new FraiseqlError(
        `No service answers at ${this.url}, or it does not name this page's origin in ` +
          `FRAISEQL_CORS_ORIGINS.`,
        0,
      );
    }
    if (response.ok) return response;
    const answer = await response.json().catch(() => ({}));
    const said = answer.errors?.map((error) => error.message).join(" ") || response.statusText;
    throw new FraiseqlError(response.status === 401 ? `${said} Give a token.` : said, response.status);
  }
}

function assetPath(name, parameters) {
  return `/assets/${name}?${new URLSearchParams(parameters)}`;
}
