"""OpenAPI documents as specs of components: each operation is one."""
