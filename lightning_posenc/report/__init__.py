"""The command `report`: from run directories to one page."""
