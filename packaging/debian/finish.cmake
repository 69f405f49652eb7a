# finish.cmake: CPack runs it between installing into its staging folders and making the packages.
set(names_programs urn)
set(names_engine liburn0)
set(names_engine_dev liburn-dev)
set(names_client liburnclient0)
set(names_client_dev liburnclient-dev)

file(GLOB_RECURSE pages ${CPACK_TEMPORARY_DIRECTORY}/*/usr/share/man/*.[1-8])
foreach(page ${pages})
  execute_process(COMMAND gzip -9n ${page} COMMAND_ERROR_IS_FATAL ANY)
endforeach()

foreach(component ${CPACK_COMPONENTS_ALL})
  set(folder ${CPACK_TEMPORARY_DIRECTORY}/${component}/usr/share/doc/${names_${component}})
  file(COPY ${CMAKE_CURRENT_LIST_DIR}/copyright ${CMAKE_CURRENT_LIST_DIR}/changelog
    DESTINATION ${folder})
  file(CHMOD ${folder}/copyright ${folder}/changelog
    PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
  execute_process(COMMAND gzip -9n ${folder}/changelog COMMAND_ERROR_IS_FATAL ANY)
  # Findings of lintian that are meant so, with the reason in the file.
  set(overrides ${CMAKE_CURRENT_LIST_DIR}/overrides/${names_${component}})
  if(EXISTS ${overrides})
    file(COPY ${overrides}
      DESTINATION ${CPACK_TEMPORARY_DIRECTORY}/${component}/usr/share/lintian/overrides)
  endif()
endforeach()
