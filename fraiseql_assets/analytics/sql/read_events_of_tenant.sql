SELECT ${columns} FROM fraiseql_events WHERE tenant_id = {tenant:String} AND ${days}
