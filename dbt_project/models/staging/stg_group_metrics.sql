-- Group metrics as step 8 wrote them; n is checked against the sums made here.
select * from {{ source('research', 'group_metrics') }}
