# Over Flight: reticulate and pyarrow do the reading, `arrow` holds the result.

#' Connect to the Flight service
#'
#' @param url Its address: `grpc://host:port`, or `grpc+tls://host:port`.
#' @param token A token; empty if the service checks none.
#' @param tls_ca The file of a certificate authority that this machine does not trust.
#' @return A client, for the other functions.
fraiseql_connect <- function(url = Sys.getenv("FRAISEQL_FLIGHT_URL", "grpc://127.0.0.1:50051"),
                             token = Sys.getenv("FRAISEQL_FLIGHT_TOKEN"),
                             tls_ca = Sys.getenv("FRAISEQL_FLIGHT_CA_FILE")) {
  for (needed in c("arrow", "reticulate")) {
    if (!requireNamespace(needed, quietly = TRUE)) {
      stop("Flight needs the package ", needed, ". Without it, use fraiseql_http().", call. = FALSE)
    }
  }
  python <- reticulate::import_from_path(
    "fraiseql_flight", system.file("python", package = "fraiseql"), convert = FALSE
  )
  connection <- said(python$Client(url, token, tls_ca))
  structure(list(url = url, connection = connection), class = "fraiseql_client")
}

print.fraiseql_client <- function(x, ...) {
  cat("<fraiseql_client ", x$url, ">\n", sep = "")
  invisible(x)
}

#' Read an asset from all its endpoints in parallel
#'
#' @param client What `fraiseql_connect()` returned.
#' @param name The asset, such as `analytics/events`.
#' @param partition,start,end One day, or the first and last day, as `"2026-01-31"` or a Date.
#' @param columns The columns that are wanted.
#' @param parallel How many endpoints are read at once.
#' @return An Arrow table. `as.data.frame()` makes it a data frame.
read_asset <- function(client, name, partition = NULL, start = NULL, end = NULL, columns = NULL,
                       parallel = 4) {
  read_ticket(client, list(
    type = "Asset", asset = name, partition = day(partition), start = day(start), end = day(end),
    columns = if (is.null(columns)) NULL else as.list(columns)
  ), parallel)
}

#' Run a GraphQL query
#'
#' @param query The document.
#' @param variables A named list of its variables.
query_graphql <- function(client, query, variables = NULL, parallel = 4) {
  read_ticket(client, list(type = "GraphQLQuery", query = query, variables = variables), parallel)
}

#' Read events by their type and their own time
#'
#' @param entity_type The type, such as `Order`; all types, if it is NULL.
#' @param start,end Dates or RFC 3339 times.
#' @param limit At most so many.
read_events <- function(client, entity_type = NULL, start = NULL, end = NULL, limit = NULL) {
  read_ticket(client, list(
    type = "ObserverEvents", entity_type = entity_type, start_date = day(start),
    end_date = day(end), limit = whole(limit)
  ))
}

#' Search events and GraphQL requests
#'
#' @param query Words and conditions, such as `data.status:paid`.
#' @param since,until `"1h"`, `"7d"`, a date or a time.
#' @param limit At most so many hits.
#' @param ... Further fields of the ticket `Search`.
search_events <- function(client, query = NULL, since = NULL, until = NULL, limit = NULL, ...) {
  read_ticket(client, list(
    type = "Search", query = query, since = since, until = until, limit = whole(limit), ...
  ))
}

#' Read any ticket
#'
#' @param ticket Its fields, as a named list.
#' @return An Arrow table.
read_ticket <- function(client, ticket, parallel = 4) {
  found <- said(client$connection$read(as_json(ticket), parallel))
  rows <- reticulate::py_to_r(found[0])
  check_rows(nrow(rows), reticulate::py_to_r(found[1]))
  rows
}

#' Follow the log: new events, as they are published
#'
#' If the connection breaks, it connects again and goes on with the next event.
#'
#' @param handle A function that gets each batch of events as an Arrow table. It ends the stream by
#'   returning FALSE.
#' @param entity_type Only events of this type.
#' @param after The position of the last event that was handled, such as `"1042:0"`.
#' @return The position of the last event that was handled, to go on behind it later.
follow_events <- function(client, handle, entity_type = NULL, after = NULL) {
  ticket <- as_json(list(type = "Tail", entity_type = entity_type))
  tail <- said(client$connection$follow(ticket, if (is.null(after)) "" else after))
  on.exit(tail$close())
  repeat {
    batch <- reticulate::py_to_r(said(tail$`next`()))
    if (isFALSE(handle(batch))) break
  }
  invisible(reticulate::py_to_r(tail$position))
}

#' Publish events, or insert rows into a table of PostgreSQL
#'
#' The log stores no event twice that is sent again within two minutes, so after an error the same
#' rows can be sent again. Rows of a table are inserted all or none.
#'
#' @param rows An Arrow table, or a data frame. Columns are taken by name.
#' @param table `events`, or a table that `FRAISEQL_WRITABLE` of the service lists.
#' @return A list: `rows`, and of events `duplicates`, `first_sequence` and `last_sequence`.
write_rows <- function(client, rows, table = "events") {
  rows <- arrow::as_arrow_table(rows)
  told <- reticulate::py_to_r(said(client$connection$write(reticulate::r_to_py(rows), table)))
  written <- jsonlite::fromJSON(told)
  if (written$rows < nrow(rows)) {
    stop(written$rows, " of ", nrow(rows), " rows were stored.", call. = FALSE)
  }
  written
}

# An error of Python as the sentence that it holds.
said <- function(value) {
  tryCatch(value, error = function(error) {
    message <- sub("\nRun `reticulate.*$", "", conditionMessage(error))
    stop(sub("^[A-Za-z.]*Error: ", "", message), call. = FALSE)
  })
}
