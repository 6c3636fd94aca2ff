# %% [markdown]
# # Lesson

# %%
1 + 1
