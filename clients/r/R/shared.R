# What both ways share.

# A ticket as JSON: missing values are left out, and a number is written as one.
as_json <- function(fields) {
  given <- Filter(Negate(is.null), fields)
  as.character(jsonlite::toJSON(given, auto_unbox = TRUE, null = "null", digits = NA))
}

day <- function(value) if (inherits(value, "Date")) format(value) else value

whole <- function(value) if (is.null(value)) NULL else as.integer(value)

# Refuses a short result. More rows than announced may come: events arrive meanwhile.
check_rows <- function(arrived, announced) {
  if (announced >= 0 && arrived < announced) {
    stop(arrived, " of ", announced, " announced rows arrived. Read it again.", call. = FALSE)
  }
}
