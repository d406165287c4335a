/* Takes back what a SIMD variant defined for groups_rows.h. Included several times. */
#undef TARGET
#undef KERNEL
#undef ROW
#undef row_load
#undef row_store
#undef row_flags
#undef row_symbols
#undef row_append
#undef row_indices
#undef row_put_symbols
#undef row_put_flags
