SELECT ${columns} FROM fraiseql_org_daily WHERE tenant_id = {tenant:String}
