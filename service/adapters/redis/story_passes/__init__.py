"""Story passes and gift allowances in the store."""
