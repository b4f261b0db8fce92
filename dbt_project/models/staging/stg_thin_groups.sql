-- Group metrics as step 8 wrote them.
select * from {{ source('research', 'thin_groups') }}
