# What `pip install .` puts in the package annulus: the component "python".
install(TARGETS annulus_python LIBRARY DESTINATION annulus COMPONENT python)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/src/python/annulus/" DESTINATION annulus COMPONENT python
        FILES_MATCHING PATTERN "*.py" PATTERN "py.typed" PATTERN "__pycache__" EXCLUDE)
install(FILES "${PROJECT_BINARY_DIR}/python/annulus/_core.pyi" DESTINATION annulus COMPONENT python)
# The command line and its drawing program lie to each other as they do elsewhere.
install(TARGETS annulus_cli RUNTIME DESTINATION annulus/bin COMPONENT python)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/src/report/" DESTINATION annulus/share/annulus/report
        COMPONENT python FILES_MATCHING PATTERN "*.py" PATTERN "__pycache__" EXCLUDE)
