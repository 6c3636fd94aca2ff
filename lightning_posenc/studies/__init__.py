"""What do we conclude?"""
