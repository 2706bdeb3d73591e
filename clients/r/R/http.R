# Over HTTP, without Python: `nanoarrow` or `arrow` reads the stream.

#' The HTTP side of the service
#'
#' @param url Its address.
#' @param token A token; empty if the service checks none.
#' @param tls_ca The file of a certificate authority that this machine does not trust.
fraiseql_http <- function(url = Sys.getenv("FRAISEQL_HTTP_URL", "http://127.0.0.1:8080"),
                          token = Sys.getenv("FRAISEQL_FLIGHT_TOKEN"),
                          tls_ca = Sys.getenv("FRAISEQL_FLIGHT_CA_FILE")) {
  structure(list(url = sub("/+$", "", url), token = token, tls_ca = tls_ca), class = "fraiseql_http")
}

print.fraiseql_http <- function(x, ...) {
  cat("<fraiseql_http ", x$url, ">\n", sep = "")
  invisible(x)
}

#' Read an asset over HTTP
#'
#' @param http What `fraiseql_http()` returned.
#' @param name The asset, such as `analytics/org_daily`.
#' @param ... The parameters `partition`, `start`, `end` and `columns`.
#' @return An Arrow table, or a data frame if the package `arrow` is not installed.
read_asset_http <- function(http, name, ...) {
  given <- parameters(...)
  path <- paste0("/assets/", name)
  about <- jsonlite::fromJSON(rawToChar(ask(http, path, c(given, format = "info"))))
  rows <- as_arrow(ask(http, path, c(given, format = "arrow")))
  check_rows(nrow(rows), if (is.null(about$rows)) -1 else about$rows)
  rows
}

#' Run a GraphQL query over HTTP
query_graphql_http <- function(http, query, variables = NULL) {
  body <- as_json(list(query = query, variables = variables))
  as_arrow(ask(http, "/graphql", list(format = "arrow"), body))
}

#' Search events and GraphQL requests over HTTP
#'
#' @param ... The parameters, such as `since` and `limit`.
search_events_http <- function(http, query, ...) {
  as_arrow(ask(http, "/search", c(q = query, parameters(...), format = "arrow")))
}

# The content of a response. Its error is the service's sentence.
ask <- function(http, path, given, body = NULL) {
  handle <- curl::new_handle()
  headers <- list(accept = "application/vnd.apache.arrow.stream, application/json")
  if (nzchar(http$token)) headers$authorization <- paste("Bearer", http$token)
  if (!is.null(body)) {
    headers$`content-type` <- "application/json"
    curl::handle_setopt(handle, copypostfields = body)
  }
  if (nzchar(http$tls_ca)) curl::handle_setopt(handle, cainfo = http$tls_ca)
  curl::handle_setheaders(handle, .list = headers)
  pairs <- paste0(names(given), "=", vapply(given, function(v) curl::curl_escape(v), ""))
  address <- paste0(http$url, path, "?", paste(pairs, collapse = "&"))
  response <- tryCatch(curl::curl_fetch_memory(address, handle), error = function(error) {
    reason <- conditionMessage(error)
    if (grepl("certificate", reason, ignore.case = TRUE)) {
      stop("The certificate of ", http$url, " is not trusted (", reason, "). Pass tls_ca=, or set ",
           "FRAISEQL_FLIGHT_CA_FILE, with the file of its certificate authority.", call. = FALSE)
    }
    stop("No service answers at ", http$url, " (", reason, "). Pass url=, or set FRAISEQL_HTTP_URL.",
         call. = FALSE)
  })
  if (response$status_code >= 400) {
    text <- rawToChar(response$content)
    said <- tryCatch(jsonlite::fromJSON(text)$errors$message, error = function(error) text)
    if (response$status_code == 401) said <- c(said, "Pass token=, or set FRAISEQL_FLIGHT_TOKEN.")
    stop(paste(said, collapse = " "), call. = FALSE)
  }
  response$content
}

as_arrow <- function(content) {
  if (requireNamespace("arrow", quietly = TRUE)) {
    return(arrow::read_ipc_stream(content, as_data_frame = FALSE))
  }
  as.data.frame(nanoarrow::read_nanoarrow(content))
}

parameters <- function(...) {
  given <- Filter(Negate(is.null), list(...))
  lapply(given, function(value) paste(day(value), collapse = ","))
}
