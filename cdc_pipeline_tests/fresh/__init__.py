"""`make test-fresh`: proves the project in minimal systems that have nothing but what debootstrap gives them."""
