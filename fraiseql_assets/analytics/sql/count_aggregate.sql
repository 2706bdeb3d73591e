SELECT uniqExact((${key})) FROM ${table} WHERE stream_date = {day:Date}
